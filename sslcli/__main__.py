from sslcli.cli import main

if __name__ == "__main__":
    main()
