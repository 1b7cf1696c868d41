// Package vulndbkeep is the databases of vulnerabilities in a store, with what is remembered of each: where it came from, and who vouched for it.
package vulndbkeep
