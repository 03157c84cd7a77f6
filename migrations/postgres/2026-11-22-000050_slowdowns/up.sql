-- Failed sign-ins and codes of an address, whether or not anybody has it: they slow down further
-- tries. The subject is the address's look-up key.
CREATE TABLE slowdowns (
    directory TEXT NOT NULL,
    subject TEXT NOT NULL,
    failures INTEGER NOT NULL,
    last_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    told BOOLEAN NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, subject)
);
CREATE INDEX slowdowns_expiry ON slowdowns (expires_at);
