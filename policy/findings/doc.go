// Package findings tells policies and people what is known of an image's vulnerabilities: what the registry itself matched, what scanners attested, and what authorities state about either. It also
// remembers what was last known of each image, so that what changed is found by comparison. Whom a change concerns is asked above it.
package findings
