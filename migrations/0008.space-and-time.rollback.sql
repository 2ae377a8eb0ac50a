DROP INDEX mapsets_covered_time;
