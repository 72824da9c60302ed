"""How a thief learns from answers: losses and what they need, each a small registered configuration."""

from assay.methods.stealing.learners.learner import LEARNERS, Going, Learner, parse_learner

__all__ = ["LEARNERS", "Going", "Learner", "parse_learner"]
