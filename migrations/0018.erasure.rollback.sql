DROP FUNCTION erase_from_audit_log(uuid);
