"""Twelve bugs that were found in real ports of encoders, to be fixed: `minembed study list`."""

from minembed.study.exercises.exercise import Exercise
from minembed.study.exercises.runner import Outcome, run
from minembed.study.exercises.table import EXERCISES

__all__ = ["EXERCISES", "Exercise", "Outcome", "run"]
