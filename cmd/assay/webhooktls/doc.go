// Package webhooktls is the certificates under which the questions of clusters are answered: the registry's own authority, what it issues, and how both are renewed.
package webhooktls
