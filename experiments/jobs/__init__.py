"""Many runs of programs, each in its own process."""
