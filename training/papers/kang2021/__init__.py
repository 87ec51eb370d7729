"""Kang 2021: five fine-tuned CNNs and their mean, on 512 × 512 ROIs around calcifications."""
