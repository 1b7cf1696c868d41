// Package cli is what all commands share: the machine that they run on, the flags by which they find a server and say how to print, the words and forms in which they
// answer, and the exit codes. What a command does is in the packages beside this one.
package cli
