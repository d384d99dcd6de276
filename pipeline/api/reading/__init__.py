"""What an endpoint sent -> Reply or Failure. Pure: headers and bytes in, values out; nothing a server sends raises."""
