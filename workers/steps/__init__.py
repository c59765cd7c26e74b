"""Steps shared by the stages, between the database (through mekiki's services) and the array libraries."""
