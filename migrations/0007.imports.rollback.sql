DROP TABLE import_batches;
DROP TABLE imports;
