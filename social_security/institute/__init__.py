"""An institute's system: affiliation, work history, cases, rights of the person, and who looked at her data."""
