// Package vex reads statements about exploitability: OpenVEX and CycloneDX. What they prove, and whom they convince, is decided elsewhere.
package vex
