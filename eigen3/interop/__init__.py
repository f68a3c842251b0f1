"""Interfaces to other software: Eigen2, exported policies, Gymnasium."""
