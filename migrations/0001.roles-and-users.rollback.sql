ALTER TABLE users DROP CONSTRAINT users_profile_picture_fkey;
ALTER TABLE organizations DROP CONSTRAINT organizations_thumbnail_fkey;
DROP TABLE files;
DROP TABLE users;
DROP TABLE organizations;
DROP TABLE roles;
