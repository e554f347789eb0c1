"""The app's own Streamlit components: each one a Python function beside its JavaScript and CSS."""
