// Package index finds packages across all images: which image holds what, in which version, under which licence.
//
// It lives in a key space of the store, in the same transactions as what it is about. An event only queues its inventory, which conflicts with
// nobody; one writer folds the queue into the postings ([Index.Run]). See DESIGN.md.
package index
