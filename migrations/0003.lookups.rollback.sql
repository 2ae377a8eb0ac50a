DROP TABLE news;
DROP TABLE regionals;
DROP TABLE map_projection_systems;
DROP TABLE classifications;
DROP TABLE categories;
