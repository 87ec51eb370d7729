"""Helsinki: ResNeXt-50 by double transfer learning, on ROIs around calcifications."""
