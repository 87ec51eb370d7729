"""What the ROI networks of Kang 2021 and of the Helsinki double transfer learning share."""
