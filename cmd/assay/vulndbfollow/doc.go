// Package vulndbfollow installs what the artifacts of this registry that databases of vulnerabilities come from hold now, and takes those that administrators bring by hand.
package vulndbfollow
