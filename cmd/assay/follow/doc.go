// Package follow is what everything has in common that follows artifacts of this registry: where their content is read, how often it is looked, and what is remembered of each look.
package follow
