"""One file that says what a gateway's configuration shall be, and how it is put into force."""
