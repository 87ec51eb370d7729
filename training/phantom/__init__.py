"""A digital phantom: mammogram exams whose every lesion, and best possible AUC, is known.

`exam` draws a woman's four views, `roi` single regions, `write_exams` DICOM files. All of it is
decided by seeds. docs/phantom.md describes what is modelled on what.
"""

from cadnode_training.phantom.descriptors import (
    BreastDensity,
    ClusterDescriptors,
    Descriptors,
    MassDensity,
    MassDescriptors,
    MassMargin,
    MassShape,
    PhantomCase,
    PlantedLesion,
    describe,
)
from cadnode_training.phantom.dicom import write_dicom, write_exams
from cadnode_training.phantom.exam import NO_LESIONS, LesionPrior, PhantomExam, PhantomView, exam
from cadnode_training.phantom.risk import bayes_auc, combinations, p_malignant, prevalence
from cadnode_training.phantom.roi import PhantomRoi, RoiSource, roi
from cadnode_training.phantom.view import PhantomSpec

__all__ = [
    "NO_LESIONS",
    "BreastDensity",
    "ClusterDescriptors",
    "Descriptors",
    "LesionPrior",
    "MassDensity",
    "MassDescriptors",
    "MassMargin",
    "MassShape",
    "PhantomCase",
    "PhantomExam",
    "PhantomRoi",
    "PhantomSpec",
    "PhantomView",
    "PlantedLesion",
    "RoiSource",
    "bayes_auc",
    "combinations",
    "describe",
    "exam",
    "p_malignant",
    "prevalence",
    "roi",
    "write_dicom",
    "write_exams",
]
