// Package outgoing makes the HTTP clients with which a server reaches out: to sources of TUF metadata, and to whom events are told. Each goes no further than its own address says.
package outgoing
