-- What a provider refused once, and when it is asked for the second time: known to every process, and after a restart.
alter table credentials add column doubt text;
alter table credentials add column doubt_until bigint;
