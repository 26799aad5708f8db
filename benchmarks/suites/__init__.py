"""What is measured, a file a suite: rows whose settings are fixed before anything is run."""

from ._all import SUITES as SUITES
