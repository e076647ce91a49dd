"""What people read: a run's standing, its evaluation and its report."""
