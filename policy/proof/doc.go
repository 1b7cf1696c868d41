// Package proof is what pushed evidence proves of one subject: what the verifier found under each authority by itself, kept beside the subject and found again only where that
// authority became another, and what of all that counts at some moment. Copies of a statement count once, and what proves nothing is bounded.
//
// It says what is proven; what follows from it is for policies to say.
package proof
