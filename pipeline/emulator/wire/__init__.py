"""What goes over the wire, in the words and shapes of OpenAI and Azure: questions read, answers and errors written."""
