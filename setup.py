"""The packages: `training/` is installed as `cadnode_training`, which nothing else is called."""

from setuptools import find_packages, setup

FOLDER, NAME = "training", "cadnode_training"

setup(
    packages=find_packages(include=["cadnode", "cadnode.*"])
    + [NAME + one.removeprefix(FOLDER) for one in find_packages(include=[FOLDER, f"{FOLDER}.*"])],
    package_dir={NAME: FOLDER},
)
