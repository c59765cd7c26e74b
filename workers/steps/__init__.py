"""What the stages share: between the database (through mekiki's services) and the array libraries."""
