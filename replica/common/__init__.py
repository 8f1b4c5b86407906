"""The ground floor: files, terminals, arguments, compilation. No physics in it."""
