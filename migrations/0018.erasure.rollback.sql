DROP FUNCTION erase_from_audit_log(uuid);
DROP TRIGGER erased_for_good ON users;
DROP FUNCTION keep_erased();
