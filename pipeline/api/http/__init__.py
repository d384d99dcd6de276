"""How requests travel: encrypted and through proxies by a library, plain ones in the event loop itself."""
