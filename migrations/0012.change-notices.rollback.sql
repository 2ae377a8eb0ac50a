DROP FUNCTION notice_change() CASCADE;
