module github.com/kubectl-fernet/kubectl-fernet/decrypt

go 1.18

require github.com/fernet/fernet-go v0.0.0-20240119011108-303da6aec611
