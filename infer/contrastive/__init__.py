"""Temporal contrastive learning from the shell: whole tasks and their figures."""
