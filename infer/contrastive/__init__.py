"""Temporal contrastive learning on the command line: complete tasks and their figures."""
