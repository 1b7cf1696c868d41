// Package rules makes policies ready to decide: of the configuration, of files and bundles, and of what others supply.
package rules
