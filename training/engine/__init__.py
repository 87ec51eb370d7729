"""The training engine: loops on MONAI's trainer, machine, checkpoints, recipes, previews."""
