// Package rulebook holds which policies a running registry has: those of the configuration or those that were activated, where they come from, what is staged beside them, and how all of it changes.
package rulebook
