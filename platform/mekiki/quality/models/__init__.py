"""Quality of the labels: studies of reviewers, agreement, and certificates."""
