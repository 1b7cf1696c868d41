// Package vulndbcmd is assay vulndb: databases of vulnerabilities are built of what others publish, packed, pushed, imported and looked at.
package vulndbcmd
