"""Its place makes the helpers beside it known to the tests of folders below."""
