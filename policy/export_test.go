package policy

// Planted tells the model test whether it has to find a bug.
const Planted = planted
