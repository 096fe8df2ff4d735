"""Who somebody is, and what is sealed so that only we can read it."""
