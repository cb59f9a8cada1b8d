"""The experiments, each in a folder of its own: problem, training, summary, figures, claims."""
