import Objects

/// The client configuration that `kubectl` reads, with everything embedded.
enum Kubeconfig {
    static func text(server: String, authority: [UInt8], user: String, credential: Credential) -> [UInt8] {
        let text = """
            apiVersion: v1
            kind: Config
            clusters:
            - name: hostd
              cluster:
                server: \(server)
                certificate-authority-data: \(Base64.encode(authority))
            users:
            - name: \(user)
              user:
                client-certificate-data: \(Base64.encode(credential.certificate))
                client-key-data: \(Base64.encode(credential.key))
            contexts:
            - name: \(user)@hostd
              context:
                cluster: hostd
                user: \(user)
            current-context: \(user)@hostd

            """
        return Array(text.utf8)
    }
}
