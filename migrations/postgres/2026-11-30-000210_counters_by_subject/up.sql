-- What is counted for one subject is counted together, so its counters stand side by side in their index: by name
-- before subject, those of one sign-up were on three pages.
ALTER TABLE counters DROP CONSTRAINT counters_pkey;
ALTER TABLE counters ADD PRIMARY KEY (directory, subject, name, window_start);
