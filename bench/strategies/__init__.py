"""One strategy of ten calls in both forms, for measuring what a plan costs."""
